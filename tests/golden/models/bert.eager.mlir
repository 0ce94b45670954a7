// bert, eager, padded: 2 sites
// Read as: full, key padding, 4 heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: return

// torch 2.13, transformers 5.23
module {
  func.func @main(%arg0: !torch.vtensor<[2,31],si64>, %arg1: !torch.vtensor<[1,256],si64>, %arg2: !torch.vtensor<[1,256],si64>, %arg3: !torch.vtensor<[97,64],f32>, %arg4: !torch.vtensor<[2,64],f32>, %arg5: !torch.vtensor<[256,64],f32>, %arg6: !torch.vtensor<[64],f32>, %arg7: !torch.vtensor<[64],f32>, %arg8: !torch.vtensor<[2,31],si64>, %arg9: !torch.vtensor<[64,64],f32>, %arg10: !torch.vtensor<[64],f32>, %arg11: !torch.vtensor<[64,64],f32>, %arg12: !torch.vtensor<[64],f32>, %arg13: !torch.vtensor<[64,64],f32>, %arg14: !torch.vtensor<[64],f32>, %arg15: !torch.vtensor<[64,64],f32>, %arg16: !torch.vtensor<[64],f32>, %arg17: !torch.vtensor<[64],f32>, %arg18: !torch.vtensor<[64],f32>, %arg19: !torch.vtensor<[96,64],f32>, %arg20: !torch.vtensor<[96],f32>, %arg21: !torch.vtensor<[64,96],f32>, %arg22: !torch.vtensor<[64],f32>, %arg23: !torch.vtensor<[64],f32>, %arg24: !torch.vtensor<[64],f32>, %arg25: !torch.vtensor<[64,64],f32>, %arg26: !torch.vtensor<[64],f32>, %arg27: !torch.vtensor<[64,64],f32>, %arg28: !torch.vtensor<[64],f32>, %arg29: !torch.vtensor<[64,64],f32>, %arg30: !torch.vtensor<[64],f32>, %arg31: !torch.vtensor<[64,64],f32>, %arg32: !torch.vtensor<[64],f32>, %arg33: !torch.vtensor<[64],f32>, %arg34: !torch.vtensor<[64],f32>, %arg35: !torch.vtensor<[96,64],f32>, %arg36: !torch.vtensor<[96],f32>, %arg37: !torch.vtensor<[64,96],f32>, %arg38: !torch.vtensor<[64],f32>, %arg39: !torch.vtensor<[64],f32>, %arg40: !torch.vtensor<[64],f32>, %arg41: !torch.vtensor<[64,64],f32>, %arg42: !torch.vtensor<[64],f32>) -> !torch.vtensor<[2,31,64],f32> {
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %int31 = torch.constant.int 31
    %0 = torch.aten.slice.Tensor %arg1, %int1, %int0, %int31, %int1 : !torch.vtensor<[1,256],si64>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[1,31],si64>
    %int-1 = torch.constant.int -1
    %1 = torch.prim.ListConstruct %int1, %int-1 : (!torch.int, !torch.int) -> !torch.list<int>
    %false = torch.constant.bool false
    %2 = torch.aten.expand %arg2, %1, %false : !torch.vtensor<[1,256],si64>, !torch.list<int>, !torch.bool -> !torch.vtensor<[1,256],si64>
    %3 = torch.aten.gather %2, %int1, %0, %false : !torch.vtensor<[1,256],si64>, !torch.int, !torch.vtensor<[1,31],si64>, !torch.bool -> !torch.vtensor<[1,31],si64>
    %int2 = torch.constant.int 2
    %4 = torch.prim.ListConstruct %int2, %int31 : (!torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.expand %3, %4, %false : !torch.vtensor<[1,31],si64>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],si64>
    %6 = torch.aten.embedding %arg3, %arg0, %int0, %false, %false : !torch.vtensor<[97,64],f32>, !torch.vtensor<[2,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %7 = torch.aten.embedding %arg4, %5, %int-1, %false, %false : !torch.vtensor<[2,64],f32>, !torch.vtensor<[2,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %8 = torch.aten.add.Tensor %6, %7, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %9 = torch.aten.embedding %arg5, %0, %int-1, %false, %false : !torch.vtensor<[256,64],f32>, !torch.vtensor<[1,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[1,31,64],f32>
    %10 = torch.aten.add.Tensor %8, %9, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[1,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %int64 = torch.constant.int 64
    %11 = torch.prim.ListConstruct %int64 : (!torch.int) -> !torch.list<int>
    %float9.999990e-13 = torch.constant.float 9.9999999999999998E-13
    %true = torch.constant.bool true
    %12 = torch.aten.layer_norm %10, %11, %arg6, %arg7, %float9.999990e-13, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %float1.000000e-01 = torch.constant.float 1.000000e-01
    %13 = torch.aten.dropout %12, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %cpu = torch.constant.device "cpu"
    %int11 = torch.constant.int 11
    %none = torch.constant.none
    %14 = torch.aten.to.device %arg8, %cpu, %int11, %false, %false, %none : !torch.vtensor<[2,31],si64>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31],i1>
    %15 = torch.aten.linear %13, %arg9, %arg10 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %int16 = torch.constant.int 16
    %16 = torch.prim.ListConstruct %int2, %int31, %int-1, %int16 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %17 = torch.aten.view %15, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %18 = torch.aten.transpose.int %17, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %19 = torch.aten.linear %13, %arg11, %arg12 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %20 = torch.aten.view %19, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %21 = torch.aten.transpose.int %20, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %22 = torch.aten.linear %13, %arg13, %arg14 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %23 = torch.aten.view %22, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %24 = torch.aten.transpose.int %23, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %25 = torch.prim.ListConstruct %int-1, %int31 : (!torch.int, !torch.int) -> !torch.list<int>
    %26 = torch.aten.expand %14, %25, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %27:2 = torch.operator "torch.hyper.attention"(query = %18, key = %21, value = %24, key_mask = %26, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %28 = torch.aten.transpose.int %27#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %29 = torch.aten.contiguous %28, %int0 : !torch.vtensor<[2,31,4,16],f32>, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %30 = torch.prim.ListConstruct %int2, %int31, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %31 = torch.aten.reshape %29, %30 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %32 = torch.aten.linear %31, %arg15, %arg16 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %33 = torch.aten.dropout %32, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %34 = torch.aten.add.Tensor %33, %13, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %35 = torch.aten.layer_norm %34, %11, %arg17, %arg18, %float9.999990e-13, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %36 = torch.aten.linear %35, %arg19, %arg20 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.vtensor<[96],f32> -> !torch.vtensor<[2,31,96],f32>
    %str_2 = torch.constant.str "none"
    %37 = torch.aten.gelu %36, %str_2 : !torch.vtensor<[2,31,96],f32>, !torch.str -> !torch.vtensor<[2,31,96],f32>
    %38 = torch.aten.linear %37, %arg21, %arg22 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %39 = torch.aten.dropout %38, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %40 = torch.aten.add.Tensor %39, %35, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %41 = torch.aten.layer_norm %40, %11, %arg23, %arg24, %float9.999990e-13, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %42 = torch.aten.linear %41, %arg25, %arg26 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %43 = torch.aten.view %42, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %44 = torch.aten.transpose.int %43, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %45 = torch.aten.linear %41, %arg27, %arg28 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %46 = torch.aten.view %45, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %47 = torch.aten.transpose.int %46, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %48 = torch.aten.linear %41, %arg29, %arg30 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %49 = torch.aten.view %48, %16 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %50 = torch.aten.transpose.int %49, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %51 = torch.aten.expand %14, %25, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %52:2 = torch.operator "torch.hyper.attention"(query = %44, key = %47, value = %50, key_mask = %51, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %53 = torch.aten.transpose.int %52#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %54 = torch.aten.contiguous %53, %int0 : !torch.vtensor<[2,31,4,16],f32>, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %55 = torch.aten.reshape %54, %30 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %56 = torch.aten.linear %55, %arg31, %arg32 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %57 = torch.aten.dropout %56, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %58 = torch.aten.add.Tensor %57, %41, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %59 = torch.aten.layer_norm %58, %11, %arg33, %arg34, %float9.999990e-13, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %60 = torch.aten.linear %59, %arg35, %arg36 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.vtensor<[96],f32> -> !torch.vtensor<[2,31,96],f32>
    %61 = torch.aten.gelu %60, %str_2 : !torch.vtensor<[2,31,96],f32>, !torch.str -> !torch.vtensor<[2,31,96],f32>
    %62 = torch.aten.linear %61, %arg37, %arg38 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.vtensor<[64],f32> -> !torch.vtensor<[2,31,64],f32>
    %63 = torch.aten.dropout %62, %float1.000000e-01, %false : !torch.vtensor<[2,31,64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %64 = torch.aten.add.Tensor %63, %59, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %65 = torch.aten.layer_norm %64, %11, %arg39, %arg40, %float9.999990e-13, %true : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.vtensor<[64],f32>, !torch.vtensor<[64],f32>, !torch.float, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    return %65 : !torch.vtensor<[2,31,64],f32>
  }
}
