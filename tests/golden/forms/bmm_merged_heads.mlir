// Form `bmm_merged_heads`: OPT and BART of old: heads folded into the batch, bmm, folded back.
// Read as: full, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,63,160],f32>, %arg1: !torch.vtensor<[2,63,160],f32>, %arg2: !torch.vtensor<[2,63,160],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %float1.581140e-01 = torch.constant.float 0.15811388300841897
    %0 = torch.aten.mul.Scalar %arg0, %float1.581140e-01 : !torch.vtensor<[2,63,160],f32>, !torch.float -> !torch.vtensor<[2,63,160],f32>
    %int2 = torch.constant.int 2
    %int63 = torch.constant.int 63
    %int4 = torch.constant.int 4
    %int40 = torch.constant.int 40
    %1 = torch.prim.ListConstruct %int2, %int63, %int4, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.view %0, %1 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %int1 = torch.constant.int 1
    %3 = torch.aten.transpose.int %2, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %4 = torch.aten.view %arg1, %1 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %5 = torch.aten.transpose.int %4, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %6 = torch.aten.view %arg2, %1 : !torch.vtensor<[2,63,160],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %7 = torch.aten.transpose.int %6, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %int0 = torch.constant.int 0
    %8:2 = torch.operator "torch.hyper.attention"(query = %3, key = %5, value = %7, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %9 = torch.aten.flatten.using_ints %8#0, %int0, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[8,63,40],f32>
    %10 = torch.prim.ListConstruct %int2, %int4, %int63, %int40 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %11 = torch.aten.view %9, %10 : !torch.vtensor<[8,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %12 = torch.aten.transpose.int %11, %int1, %int2 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int160 = torch.constant.int 160
    %13 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %14 = torch.aten.reshape %12, %13 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %14 : !torch.vtensor<[2,63,160],f32>
  }
}
