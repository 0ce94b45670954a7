// Form `text_and_layout`: Two products of queries and keys (LiLT): the wider one stays.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %int8 = torch.constant.int 8
    %int1 = torch.constant.int 1
    %0 = torch.aten.slice.Tensor %arg1, %int3, %int0, %int8, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,8],f32>
    %int16 = torch.constant.int 16
    %1 = torch.aten.slice.Tensor %arg0, %int3, %int8, %int16, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,8],f32>
    %2 = torch.operator "torch.aten.mT"(%1) : (!torch.vtensor<[2,4,63,8],f32>) -> !torch.vtensor<[2,4,8,63],f32> 
    %3 = torch.aten.matmul %0, %2 : !torch.vtensor<[2,4,63,8],f32>, !torch.vtensor<[2,4,8,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int6 = torch.constant.int 6
    %false = torch.constant.bool false
    %none = torch.constant.none
    %4 = torch.aten.to.dtype %3, %int6, %false, %false, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.bool, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %5:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %arg0, value = %arg2, bias = %4, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %5#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
