// llama, eager, padded: 2 sites
// Read as: causal, key padding, 4 heads over 2 kv heads, scale 0.25
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, key_mask = {{%[^,]+}}, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,31],i1>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.scaled_dot_product_attention
// CHECK: return

// torch 2.13, transformers 5.23
module {
  func.func @main(%arg0: !torch.vtensor<[2,31],si64>, %arg1: !torch.vtensor<[97,64],f32>, %arg2: !torch.vtensor<[2,31],si64>, %arg3: !torch.vtensor<[8],f32>, %arg4: !torch.vtensor<[64],f32>, %arg5: !torch.vtensor<[64,64],f32>, %arg6: !torch.vtensor<[32,64],f32>, %arg7: !torch.vtensor<[32,64],f32>, %arg8: !torch.vtensor<[64,64],f32>, %arg9: !torch.vtensor<[64],f32>, %arg10: !torch.vtensor<[96,64],f32>, %arg11: !torch.vtensor<[96,64],f32>, %arg12: !torch.vtensor<[64,96],f32>, %arg13: !torch.vtensor<[64],f32>, %arg14: !torch.vtensor<[64,64],f32>, %arg15: !torch.vtensor<[32,64],f32>, %arg16: !torch.vtensor<[32,64],f32>, %arg17: !torch.vtensor<[64,64],f32>, %arg18: !torch.vtensor<[64],f32>, %arg19: !torch.vtensor<[96,64],f32>, %arg20: !torch.vtensor<[96,64],f32>, %arg21: !torch.vtensor<[64,96],f32>, %arg22: !torch.vtensor<[64],f32>, %arg23: !torch.vtensor<[97,64],f32>) -> !torch.vtensor<[2,31,97],f32> {
    %int-1 = torch.constant.int -1
    %false = torch.constant.bool false
    %0 = torch.aten.embedding %arg1, %arg0, %int-1, %false, %false : !torch.vtensor<[97,64],f32>, !torch.vtensor<[2,31],si64>, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,31,64],f32>
    %int31 = torch.constant.int 31
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %1 = torch.aten.arange %int31, %none, %none, %cpu, %false : !torch.int, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[31],si64>
    %int0 = torch.constant.int 0
    %int1 = torch.constant.int 1
    %2 = torch.aten.add.Scalar %1, %int0, %int1 : !torch.vtensor<[31],si64>, !torch.int, !torch.int -> !torch.vtensor<[31],si64>
    %3 = torch.aten.unsqueeze %2, %int0 : !torch.vtensor<[31],si64>, !torch.int -> !torch.vtensor<[1,31],si64>
    %int11 = torch.constant.int 11
    %4 = torch.aten.to.device %arg2, %cpu, %int11, %false, %false, %none : !torch.vtensor<[2,31],si64>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31],i1>
    %int2 = torch.constant.int 2
    %5 = torch.aten.unsqueeze %3, %int2 : !torch.vtensor<[1,31],si64>, !torch.int -> !torch.vtensor<[1,31,1],si64>
    %int6 = torch.constant.int 6
    %6 = torch.aten.to.dtype %5, %int6, %false, %false, %none : !torch.vtensor<[1,31,1],si64>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,1],f32>
    %7 = torch.aten.to.device %arg3, %cpu, %int6, %false, %false, %none : !torch.vtensor<[8],f32>, !torch.Device, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[8],f32>
    %8 = torch.aten.mul.Tensor %6, %7 : !torch.vtensor<[1,31,1],f32>, !torch.vtensor<[8],f32> -> !torch.vtensor<[1,31,8],f32>
    %9 = torch.prim.ListConstruct %8, %8 : (!torch.vtensor<[1,31,8],f32>, !torch.vtensor<[1,31,8],f32>) -> !torch.list<vtensor>
    %10 = torch.aten.cat %9, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[1,31,16],f32>
    %11 = torch.aten.cos %10 : !torch.vtensor<[1,31,16],f32> -> !torch.vtensor<[1,31,16],f32>
    %float1.000000e00 = torch.constant.float 1.000000e+00
    %12 = torch.aten.mul.Scalar %11, %float1.000000e00 : !torch.vtensor<[1,31,16],f32>, !torch.float -> !torch.vtensor<[1,31,16],f32>
    %13 = torch.aten.sin %10 : !torch.vtensor<[1,31,16],f32> -> !torch.vtensor<[1,31,16],f32>
    %14 = torch.aten.mul.Scalar %13, %float1.000000e00 : !torch.vtensor<[1,31,16],f32>, !torch.float -> !torch.vtensor<[1,31,16],f32>
    %15 = torch.aten.to.dtype %12, %int6, %false, %false, %none : !torch.vtensor<[1,31,16],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,16],f32>
    %16 = torch.aten.to.dtype %14, %int6, %false, %false, %none : !torch.vtensor<[1,31,16],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[1,31,16],f32>
    %17 = torch.aten.to.dtype %0, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %18 = torch.aten.pow.Tensor_Scalar %17, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %19 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %20 = torch.aten.mean.dim %18, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %float9.999990e-07 = torch.constant.float 9.9999999999999995E-7
    %21 = torch.aten.add.Scalar %20, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %22 = torch.aten.rsqrt %21 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %23 = torch.aten.mul.Tensor %17, %22 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %24 = torch.aten.to.dtype %23, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %25 = torch.aten.mul.Tensor %arg4, %24 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %26 = torch.aten.linear %25, %arg5, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %int16 = torch.constant.int 16
    %27 = torch.prim.ListConstruct %int2, %int31, %int-1, %int16 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %28 = torch.aten.view %26, %27 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %29 = torch.aten.transpose.int %28, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %30 = torch.aten.linear %25, %arg6, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[32,64],f32>, !torch.none -> !torch.vtensor<[2,31,32],f32>
    %31 = torch.aten.view %30, %27 : !torch.vtensor<[2,31,32],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,16],f32>
    %32 = torch.aten.transpose.int %31, %int1, %int2 : !torch.vtensor<[2,31,2,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %33 = torch.aten.linear %25, %arg7, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[32,64],f32>, !torch.none -> !torch.vtensor<[2,31,32],f32>
    %34 = torch.aten.view %33, %27 : !torch.vtensor<[2,31,32],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,16],f32>
    %35 = torch.aten.transpose.int %34, %int1, %int2 : !torch.vtensor<[2,31,2,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %36 = torch.aten.unsqueeze %15, %int1 : !torch.vtensor<[1,31,16],f32>, !torch.int -> !torch.vtensor<[1,1,31,16],f32>
    %37 = torch.aten.unsqueeze %16, %int1 : !torch.vtensor<[1,31,16],f32>, !torch.int -> !torch.vtensor<[1,1,31,16],f32>
    %38 = torch.aten.mul.Tensor %29, %36 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,4,31,16],f32>
    %int3 = torch.constant.int 3
    %int8 = torch.constant.int 8
    %39 = torch.aten.slice.Tensor %29, %int3, %int0, %int8, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,8],f32>
    %int9223372036854775807 = torch.constant.int 9223372036854775807
    %40 = torch.aten.slice.Tensor %29, %int3, %int8, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,8],f32>
    %41 = torch.aten.neg %40 : !torch.vtensor<[2,4,31,8],f32> -> !torch.vtensor<[2,4,31,8],f32>
    %42 = torch.prim.ListConstruct %41, %39 : (!torch.vtensor<[2,4,31,8],f32>, !torch.vtensor<[2,4,31,8],f32>) -> !torch.list<vtensor>
    %43 = torch.aten.cat %42, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %44 = torch.aten.mul.Tensor %43, %37 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,4,31,16],f32>
    %45 = torch.aten.add.Tensor %38, %44, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %46 = torch.aten.mul.Tensor %32, %36 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,2,31,16],f32>
    %47 = torch.aten.slice.Tensor %32, %int3, %int0, %int8, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,8],f32>
    %48 = torch.aten.slice.Tensor %32, %int3, %int8, %int9223372036854775807, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,8],f32>
    %49 = torch.aten.neg %48 : !torch.vtensor<[2,2,31,8],f32> -> !torch.vtensor<[2,2,31,8],f32>
    %50 = torch.prim.ListConstruct %49, %47 : (!torch.vtensor<[2,2,31,8],f32>, !torch.vtensor<[2,2,31,8],f32>) -> !torch.list<vtensor>
    %51 = torch.aten.cat %50, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %52 = torch.aten.mul.Tensor %51, %37 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,2,31,16],f32>
    %53 = torch.aten.add.Tensor %46, %52, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %54 = torch.prim.ListConstruct %int-1, %int31 : (!torch.int, !torch.int) -> !torch.list<int>
    %55 = torch.aten.expand %4, %54, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %56:2 = torch.operator "torch.hyper.attention"(query = %45, key = %53, value = %35, key_mask = %55, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %57 = torch.aten.transpose.int %56#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %58 = torch.aten.contiguous %57, %int0 : !torch.vtensor<[2,31,4,16],f32>, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %59 = torch.prim.ListConstruct %int2, %int31, %int-1 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %60 = torch.aten.reshape %58, %59 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %61 = torch.aten.linear %60, %arg8, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %62 = torch.aten.add.Tensor %17, %61, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %63 = torch.aten.to.dtype %62, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %64 = torch.aten.pow.Tensor_Scalar %63, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %65 = torch.aten.mean.dim %64, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %66 = torch.aten.add.Scalar %65, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %67 = torch.aten.rsqrt %66 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %68 = torch.aten.mul.Tensor %63, %67 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %69 = torch.aten.to.dtype %68, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %70 = torch.aten.mul.Tensor %arg9, %69 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %71 = torch.aten.linear %70, %arg10, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %72 = torch.aten.silu %71 : !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %73 = torch.aten.linear %70, %arg11, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %74 = torch.aten.mul.Tensor %72, %73 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %75 = torch.aten.linear %74, %arg12, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %76 = torch.aten.add.Tensor %63, %75, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %77 = torch.aten.to.dtype %76, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %78 = torch.aten.pow.Tensor_Scalar %77, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %79 = torch.aten.mean.dim %78, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %80 = torch.aten.add.Scalar %79, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %81 = torch.aten.rsqrt %80 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %82 = torch.aten.mul.Tensor %77, %81 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %83 = torch.aten.to.dtype %82, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %84 = torch.aten.mul.Tensor %arg13, %83 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %85 = torch.aten.linear %84, %arg14, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %86 = torch.aten.view %85, %27 : !torch.vtensor<[2,31,64],f32>, !torch.list<int> -> !torch.vtensor<[2,31,4,16],f32>
    %87 = torch.aten.transpose.int %86, %int1, %int2 : !torch.vtensor<[2,31,4,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %88 = torch.aten.linear %84, %arg15, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[32,64],f32>, !torch.none -> !torch.vtensor<[2,31,32],f32>
    %89 = torch.aten.view %88, %27 : !torch.vtensor<[2,31,32],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,16],f32>
    %90 = torch.aten.transpose.int %89, %int1, %int2 : !torch.vtensor<[2,31,2,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %91 = torch.aten.linear %84, %arg16, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[32,64],f32>, !torch.none -> !torch.vtensor<[2,31,32],f32>
    %92 = torch.aten.view %91, %27 : !torch.vtensor<[2,31,32],f32>, !torch.list<int> -> !torch.vtensor<[2,31,2,16],f32>
    %93 = torch.aten.transpose.int %92, %int1, %int2 : !torch.vtensor<[2,31,2,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %94 = torch.aten.unsqueeze %15, %int1 : !torch.vtensor<[1,31,16],f32>, !torch.int -> !torch.vtensor<[1,1,31,16],f32>
    %95 = torch.aten.unsqueeze %16, %int1 : !torch.vtensor<[1,31,16],f32>, !torch.int -> !torch.vtensor<[1,1,31,16],f32>
    %96 = torch.aten.mul.Tensor %87, %94 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,4,31,16],f32>
    %97 = torch.aten.slice.Tensor %87, %int3, %int0, %int8, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,8],f32>
    %98 = torch.aten.slice.Tensor %87, %int3, %int8, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,31,8],f32>
    %99 = torch.aten.neg %98 : !torch.vtensor<[2,4,31,8],f32> -> !torch.vtensor<[2,4,31,8],f32>
    %100 = torch.prim.ListConstruct %99, %97 : (!torch.vtensor<[2,4,31,8],f32>, !torch.vtensor<[2,4,31,8],f32>) -> !torch.list<vtensor>
    %101 = torch.aten.cat %100, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %102 = torch.aten.mul.Tensor %101, %95 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,4,31,16],f32>
    %103 = torch.aten.add.Tensor %96, %102, %int1 : !torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31,16],f32>, !torch.int -> !torch.vtensor<[2,4,31,16],f32>
    %104 = torch.aten.mul.Tensor %90, %94 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,2,31,16],f32>
    %105 = torch.aten.slice.Tensor %90, %int3, %int0, %int8, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,8],f32>
    %106 = torch.aten.slice.Tensor %90, %int3, %int8, %int9223372036854775807, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,31,8],f32>
    %107 = torch.aten.neg %106 : !torch.vtensor<[2,2,31,8],f32> -> !torch.vtensor<[2,2,31,8],f32>
    %108 = torch.prim.ListConstruct %107, %105 : (!torch.vtensor<[2,2,31,8],f32>, !torch.vtensor<[2,2,31,8],f32>) -> !torch.list<vtensor>
    %109 = torch.aten.cat %108, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %110 = torch.aten.mul.Tensor %109, %95 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[1,1,31,16],f32> -> !torch.vtensor<[2,2,31,16],f32>
    %111 = torch.aten.add.Tensor %104, %110, %int1 : !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.int -> !torch.vtensor<[2,2,31,16],f32>
    %112 = torch.aten.expand %4, %54, %false : !torch.vtensor<[2,31],i1>, !torch.list<int>, !torch.bool -> !torch.vtensor<[2,31],i1>
    %113:2 = torch.operator "torch.hyper.attention"(query = %103, key = %111, value = %93, key_mask = %112, causal_offset = 0, scale = 0.25, empty_rows = "level", algorithm = "exact") : (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,2,31,16],f32>, !torch.vtensor<[2,31],i1>) -> (!torch.vtensor<[2,4,31,16],f32>, !torch.vtensor<[2,4,31],f32>) 
    %114 = torch.aten.transpose.int %113#0, %int1, %int2 : !torch.vtensor<[2,4,31,16],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %115 = torch.aten.contiguous %114, %int0 : !torch.vtensor<[2,31,4,16],f32>, !torch.int -> !torch.vtensor<[2,31,4,16],f32>
    %116 = torch.aten.reshape %115, %59 : !torch.vtensor<[2,31,4,16],f32>, !torch.list<int> -> !torch.vtensor<[2,31,64],f32>
    %117 = torch.aten.linear %116, %arg17, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[64,64],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %118 = torch.aten.add.Tensor %77, %117, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %119 = torch.aten.to.dtype %118, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %120 = torch.aten.pow.Tensor_Scalar %119, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %121 = torch.aten.mean.dim %120, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %122 = torch.aten.add.Scalar %121, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %123 = torch.aten.rsqrt %122 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %124 = torch.aten.mul.Tensor %119, %123 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %125 = torch.aten.to.dtype %124, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %126 = torch.aten.mul.Tensor %arg18, %125 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %127 = torch.aten.linear %126, %arg19, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %128 = torch.aten.silu %127 : !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %129 = torch.aten.linear %126, %arg20, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[96,64],f32>, !torch.none -> !torch.vtensor<[2,31,96],f32>
    %130 = torch.aten.mul.Tensor %128, %129 : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[2,31,96],f32> -> !torch.vtensor<[2,31,96],f32>
    %131 = torch.aten.linear %130, %arg21, %none : !torch.vtensor<[2,31,96],f32>, !torch.vtensor<[64,96],f32>, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %132 = torch.aten.add.Tensor %119, %131, %int1 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %133 = torch.aten.to.dtype %132, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %134 = torch.aten.pow.Tensor_Scalar %133, %int2 : !torch.vtensor<[2,31,64],f32>, !torch.int -> !torch.vtensor<[2,31,64],f32>
    %135 = torch.aten.mean.dim %134, %19, %true, %none : !torch.vtensor<[2,31,64],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,31,1],f32>
    %136 = torch.aten.add.Scalar %135, %float9.999990e-07, %int1 : !torch.vtensor<[2,31,1],f32>, !torch.float, !torch.int -> !torch.vtensor<[2,31,1],f32>
    %137 = torch.aten.rsqrt %136 : !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,1],f32>
    %138 = torch.aten.mul.Tensor %133, %137 : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[2,31,1],f32> -> !torch.vtensor<[2,31,64],f32>
    %139 = torch.aten.to.dtype %138, %int6, %false, %false, %none : !torch.vtensor<[2,31,64],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,31,64],f32>
    %140 = torch.aten.mul.Tensor %arg22, %139 : !torch.vtensor<[64],f32>, !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %141 = torch.aten.alias %140 : !torch.vtensor<[2,31,64],f32> -> !torch.vtensor<[2,31,64],f32>
    %142 = torch.aten.linear %141, %arg23, %none : !torch.vtensor<[2,31,64],f32>, !torch.vtensor<[97,64],f32>, !torch.none -> !torch.vtensor<[2,31,97],f32>
    return %142 : !torch.vtensor<[2,31,97],f32>
  }
}
